"""The Grafana dashboards that are shipped, written from what they show."""
