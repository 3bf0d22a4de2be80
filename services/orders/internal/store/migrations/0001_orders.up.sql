-- Everything here but the history can be made again from the ORDERS stream. Each file runs as one
-- implicit transaction and may run twice: a migration that was cut off is simply repeated.

create table if not exists orders (
    record_id     text collate "C" primary key,
    name          text,
    name_fold     text collate "C",            -- case-folded by the service, like customer_fold
    customer      text,
    customer_fold text collate "C",            -- at most 500 characters, so that it fits an index
    status        text collate "C",
    priority      text collate "C",
    amount        numeric,
    order_date    date,
    day           date not null generated always as (coalesce(order_date, '-infinity')) stored, -- sorts empty dates last
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    doc           text collate "C" not null,   -- the order as it is served, one JSON object
    epoch         bigint not null,
    seq           bigint not null
);
create index if not exists orders_by_day on orders (day desc, record_id);
create index if not exists orders_by_customer on orders (customer_fold, day desc, record_id);

-- What happened to each order; kept across rebuilds and after the order is gone.
create table if not exists order_history (
    record_id text collate "C" not null,
    event_id  text collate "C" not null,
    epoch     bigint not null,
    seq       bigint not null,
    at        timestamptz not null,
    edit_ids  text,                            -- a JSON array
    entry     text collate "C" not null,       -- as it is served, one JSON object
    primary key (record_id, event_id)
);

-- Counts behind totals and summaries: of all orders, of each month, day, status and priority, and
-- of each (status, priority, day), the cube. Columns a dim does not group by are null.
create table if not exists rollup (
    dim        text collate "C" not null,      -- all, month, day, status, priority or cube
    order_date date,                           -- of a month: its first day
    day        date not null generated always as (coalesce(order_date, '-infinity')) stored,
    status     text collate "C",
    priority   text collate "C",
    n          bigint not null,
    amount     numeric not null
) with (fillfactor = 50);
create unique index if not exists rollup_key on rollup (dim, day desc, status, priority) nulls not distinct;

-- How many orders each customer has; what a search by customer goes through.
create table if not exists customers (
    customer_fold text collate "C" primary key,
    n             bigint not null
) with (fillfactor = 50);

-- How far the projection has come; written in the same transaction as the rows.
create table if not exists checkpoint (
    stream         text primary key,
    stream_created timestamptz not null,
    epoch          bigint not null,            -- one more for each replay
    seq            bigint not null,
    message_id     text not null,              -- of the message at seq: tells this stream from another
    replay_until   bigint,                     -- null once the rows of earlier epochs are settled
    same_stream    boolean not null,           -- the replay is of the stream the rows came from
    rebuild        boolean not null default false -- someone asks for a replay
);

do $$
declare
    icu boolean := exists (select from pg_collation where collname = 'und-x-icu' and collnamespace = 'pg_catalog'::regnamespace);
    trgm text;
begin
    -- With ICU, names sort as people expect and case is that of any alphabet.
    if icu then
        alter table orders alter column name type text collate "und-x-icu";
        alter table orders alter column customer type text collate "und-x-icu";
        create or replace function fold(text) returns text immutable parallel safe language sql
            as 'select lower($1 collate "und-x-icu") collate "C"';
    else
        create or replace function fold(text) returns text immutable parallel safe language sql
            as 'select lower($1) collate "C"';
    end if;
    -- Without pg_trgm a search reads all customers.
    begin
        create extension if not exists pg_trgm;
    exception when others then
        raise notice 'pg_trgm is not available: %', sqlerrm;
    end;
    select quote_ident(nspname) into trgm from pg_extension e join pg_namespace n on n.oid = e.extnamespace where extname = 'pg_trgm';
    if trgm is not null then
        execute 'create index if not exists customers_trigrams on customers using gin (customer_fold ' || trgm || '.gin_trgm_ops)';
    end if;
end $$;
