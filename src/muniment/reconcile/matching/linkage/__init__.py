"""Record linkage without labels: people, papers, places, products."""
