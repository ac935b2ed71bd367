"""What is trained and how it runs: tasks, mixtures, Lightning, bundles. Plugins are reached through the manager only."""
