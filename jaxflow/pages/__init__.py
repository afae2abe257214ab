"""What people look at: pages, figures, and how results show themselves in notebooks."""

from jaxflow._views import register_view

register_view("jaxflow.attribution.result.Attribution", "jaxflow.pages.notebook:attribution_html")
register_view("jaxflow.pages.exploration.Exploration", "jaxflow.pages.explorer:framed")
