"""An earlier place of `Layout`, for scripts that import it from here."""

from gcl_core.layout import Layout as Layout
