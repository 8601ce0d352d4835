-- A person in the window asks the host for help: told once of an attempt.

alter type connector_trigger add value 'help_asked' after 'explained';

alter table connector add column help_asked uuid;
