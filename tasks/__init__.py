"""What is trained and how it runs: tasks, mixtures, the stream, Lightning, bundles and commands."""
