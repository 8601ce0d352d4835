-- Somebody has the provider asked once more about the saved credential.

alter type connector_trigger add value 'verified_again' after 'grant_shared';
