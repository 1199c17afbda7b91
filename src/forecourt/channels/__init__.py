"""Payment channels: each folder speaks one provider's wire and implements `payments.types.Channel`."""
