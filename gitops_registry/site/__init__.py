"""The site of a registry: pages for people who look, written as files that need no server.

Every page is a function of what one commit holds and of the templates; what goes into it is its key, so that a later build
writes only what changed. What the pages show is data (`views`), written beside each as JSON, and drawn by templates that
escape everything.
"""
