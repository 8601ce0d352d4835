-- A database that was restored from a backup: its connectors go on behind what their topics had shown.

alter type connector_trigger add value 'restored' before 'disconnect';
