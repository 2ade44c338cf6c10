"""Tiers and quotas: what an organization uses, and how much more it may."""
