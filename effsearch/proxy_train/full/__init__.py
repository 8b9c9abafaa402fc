"""How is a network trained properly, once it has been found?"""
