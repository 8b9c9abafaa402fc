"""What a network is: specs, the one layer walk, cost, search spaces, scaling and presets."""
