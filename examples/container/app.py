"""The web application of the example."""
import os


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"Served by process {os.getpid()}.\n".encode()]
