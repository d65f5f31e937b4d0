"""What the trainers of Flota's own models share."""
