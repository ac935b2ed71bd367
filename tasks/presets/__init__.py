"""Ready task files and the sample data that they train on."""
