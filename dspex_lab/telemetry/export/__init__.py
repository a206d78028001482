"""Traces and figures for other tools: OpenTelemetry's protocol, Perfetto, Prometheus. Each imports its package when it
is used."""

from dspex_lab.telemetry.export.otlp import OtlpTarget, encode_spans
from dspex_lab.telemetry.export.perfetto import perfetto_events, write_perfetto
from dspex_lab.telemetry.export.prometheus import HostCollector
from dspex_lab.telemetry.export.shipper import Shipper, ShipperStatistics

__all__ = [
    "HostCollector",
    "OtlpTarget",
    "Shipper",
    "ShipperStatistics",
    "encode_spans",
    "perfetto_events",
    "write_perfetto",
]
