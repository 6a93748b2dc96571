"""Draws a dashboard's JSON with live answers, without Grafana: for the pictures in the docs, and for tests.

It knows only what the dashboards here use, and is a preview: Grafana's own drawing differs.
"""
