"""Does anything that a file, a peer or a user says get out of hand?"""
