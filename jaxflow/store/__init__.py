"""Results on disk: atomic files, Arrow tables, manifests, and how a folder is read."""

from jaxflow._views import register

register("save", "jaxflow.attribution.result.Attribution", "jaxflow.store.saving:save")
