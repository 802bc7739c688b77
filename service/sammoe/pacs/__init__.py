"""DICOMweb servers: who they are, how they are reached, and what is asked of them."""

from sammoe.pacs.client import Pacs, SeriesFound, SeriesPage, SeriesQuery
from sammoe.pacs.connection import Answer, Connection, check_status
from sammoe.pacs.servers import PacsServer, servers_from

__all__ = [
    "Answer",
    "Connection",
    "Pacs",
    "PacsServer",
    "SeriesFound",
    "SeriesPage",
    "SeriesQuery",
    "check_status",
    "servers_from",
]
