"""From the configuration to what each room wants to know: the only place that reads both."""

from __future__ import annotations

from backstay.config import Config
from backstay.session.resend import ResendRule
from backstay.session.settings import HeldSettings, PulseSettings, Settings
from backstay.supervisor.backoff import Backoff


def session_settings(config: Config, name: str, *, read_only: bool, asks_owner: bool = False) -> Settings:
    """The settings of one connection to the gateway of this name. `asks_owner`: before an order is sent again."""
    gateway, orders = config.gateways[name], config.orders
    life, pulse, held = config.lifecycle, config.pulse, config.held
    return Settings(
        endpoints=tuple((endpoint.host, endpoint.port) for endpoint in gateway.endpoints),
        prefer_first_seconds=gateway.prefer_first_seconds,
        one_login=gateway.one_login,
        dial_seconds=life.dial_seconds,
        handshake_seconds=life.handshake_seconds,
        acceptance_seconds=life.acceptance_seconds,
        start_seconds=life.start_seconds,
        drain_seconds=life.drain_seconds,
        stable_seconds=life.stable_seconds,
        parked_seconds=life.parked_seconds,
        client_id_attempts=life.client_id_attempts,
        redirect_anywhere=life.redirect_anywhere,
        messages_per_second=config.pacing.messages_per_second,
        historical_limits=config.pacing.historical_limits,
        read_only=read_only,
        maintenance=gateway.maintenance,
        master_client_id=gateway.master_client_id,
        gateway=name,
        journal=not read_only,
        time_zone=gateway.time_zone,
        settle_seconds=orders.settle_seconds,
        resend=ResendRule(enabled=orders.resend == "settled", ttl_seconds=orders.ttl_seconds, asks_owner=asks_owner),
        pulse=PulseSettings(
            idle_seconds=pulse.idle_seconds,
            probe_seconds=pulse.probe_seconds,
            probes=pulse.probes,
            verify_seconds=pulse.verify_seconds,
            verify_probes=pulse.verify_probes,
        ),
        held=HeldSettings(
            count=held.count,
            size_bytes=held.size_bytes,
            age_seconds=held.age_seconds,
            order_seconds=held.order_seconds,
        ),
    )


def backoff_of(config: Config) -> Backoff:
    """The schedule of delays between dials, from its beginning."""
    backoff = config.backoff
    return Backoff(
        first_seconds=backoff.first_seconds,
        base_seconds=backoff.base_seconds,
        factor=backoff.factor,
        jitter_ratio=backoff.jitter_ratio,
        cap_seconds=backoff.cap_seconds,
    )
