"""Virtual OCPP 1.6 charge points: cars that plug in, energy that flows, links that break, meters that lie."""
