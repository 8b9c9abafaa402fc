"""effsearch repair: mend a damaged run."""
