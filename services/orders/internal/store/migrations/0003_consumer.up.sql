-- The consumer that this database is projected from: two databases on one NATS must not share one.
alter table checkpoint add column if not exists
    consumer text not null default 'orders-projection-' || left(gen_random_uuid()::text, 8);
