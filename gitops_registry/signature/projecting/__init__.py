"""A signature in other systems' words, one module each: what they can say, and notes of what they cannot.

Every projection is JSON-ready and a function of the signature alone; the systems themselves are not imported.
"""
