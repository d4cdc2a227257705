"""Webhooks to a bank's back end: endpoints, outbox, sender."""
