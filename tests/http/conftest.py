"""The demo bank for every test of HTTP that wants one."""

from demo_kit import bank, served

__all__ = ["bank", "served"]
