"""Where proposals live: plain git branches, or pull requests on GitHub, GitLab, Gitea and Forgejo.

`interface` is what every forge can be asked; one module each speaks to one kind of them. Nothing else knows how.
"""
