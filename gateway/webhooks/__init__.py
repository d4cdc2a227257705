"""Webhooks to the bank: endpoints, outbox, sender (Standard Webhooks 1.0.0)."""
