"""The PIN of a binding: oblivious evaluation, counter, enrolment and change."""
