"""What people look at: pages, figures, and how results show themselves in notebooks."""

from jaxflow._views import register

register("html", "jaxflow.attribution.result.Attribution", "jaxflow.pages.notebook:attribution_html")
register("html", "jaxflow.attribution.result.Example", "jaxflow.pages.notebook:example_html")
register("html", "jaxflow.compare.result.Comparison", "jaxflow.pages.notebook:comparison_html")
register("html", "jaxflow.pages.exploration.Exploration", "jaxflow.pages.explorer:framed")
