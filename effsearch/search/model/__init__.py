"""What the trainings so far say of every network: a Bayesian model of the score, and the choice it makes."""
