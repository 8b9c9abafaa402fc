"""How good a network looks after little training: data, building, training, scoring, measuring."""
