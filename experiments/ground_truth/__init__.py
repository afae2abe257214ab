"""Does a method find the tokens that an answer is known to depend on?"""
