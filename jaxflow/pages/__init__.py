"""What people look at: pages, figures, and how results show themselves in notebooks."""

from jaxflow._views import register

register("html", "jaxflow.attribution.result.Attribution", "jaxflow.pages.notebook:attribution_html")
register("html", "jaxflow.pages.exploration.Exploration", "jaxflow.pages.explorer:framed")
