"""The demo bank: a small web bank that uses the gateway as any bank would, over its REST API and webhooks, so that
everything can be tried with no bank at hand. `gateway.app` mounts it under /demo/ when asked; it knows the gateway by
its HTTP address alone, and must never be served in production."""

from gateway.demo.app import DemoBankConfig, create_demo_bank

__all__ = ["DemoBankConfig", "create_demo_bank"]
