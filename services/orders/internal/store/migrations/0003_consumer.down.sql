alter table checkpoint drop column if exists consumer;
