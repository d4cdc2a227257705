"""What has happened, told on: the journal, the event log, and its subscribers."""
