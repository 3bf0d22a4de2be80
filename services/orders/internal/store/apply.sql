-- One batch of the projection. Every part reads the tables as they were before it, and nothing
-- happens when the checkpoint is not where the writer believes it to be.
with fence as materialized (
    update checkpoint set seq = $5, message_id = $6
    where stream = $1 and stream_created = $2 and epoch = $3 and seq = $4 and not rebuild
    returning epoch
), input as materialized (
    select i.record_id, i.deleted, i.name, i.name_fold, i.customer, i.customer_fold, i.status, i.priority,
           i.amount::numeric as amount, i.order_date::date as order_date, i.created_at, i.updated_at, i.doc, fence.epoch, i.seq
    from fence, unnest($7::text[], $8::boolean[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
                       $15::text[], $16::text[], $17::timestamptz[], $18::timestamptz[], $19::text[], $20::bigint[])
        as i (record_id, deleted, name, name_fold, customer, customer_fold, status, priority,
              amount, order_date, created_at, updated_at, doc, seq)
), old as materialized (
    select o.record_id, o.customer_fold, o.status, o.priority, o.order_date, o.amount
    from input i join orders o on o.record_id = i.record_id collate "C"
    where (o.epoch, o.seq) < (i.epoch, i.seq)
), removed as (
    delete from orders o using input i
    where i.deleted and o.record_id = i.record_id collate "C" and (o.epoch, o.seq) < (i.epoch, i.seq)
), kept as (
    insert into orders (record_id, name, name_fold, customer, customer_fold, status, priority,
                        amount, order_date, created_at, updated_at, doc, epoch, seq)
    select record_id, name, name_fold, customer, customer_fold, status, priority,
           amount, order_date, created_at, updated_at, doc, epoch, seq
    from input where not deleted
    on conflict (record_id) do update
    set name = excluded.name, name_fold = excluded.name_fold, customer = excluded.customer, customer_fold = excluded.customer_fold,
        status = excluded.status, priority = excluded.priority, amount = excluded.amount, order_date = excluded.order_date,
        created_at = excluded.created_at, updated_at = excluded.updated_at, doc = excluded.doc,
        epoch = excluded.epoch, seq = excluded.seq
    where (orders.epoch, orders.seq) < (excluded.epoch, excluded.seq)
    returning customer_fold, status, priority, order_date, amount
), history as (
    insert into order_history (record_id, event_id, epoch, seq, at, edit_ids, entry)
    select h.record_id, h.event_id, fence.epoch, h.seq, h.at, h.edit_ids, h.entry
    from fence, unnest($21::text[], $22::text[], $23::bigint[], $24::timestamptz[], $25::text[], $26::text[])
        as h (record_id, event_id, seq, at, edit_ids, entry)
    on conflict do nothing
), delta as materialized (
    select customer_fold, status, priority, order_date, date_trunc('month', order_date)::date as month, -1 as n, -coalesce(amount, 0) as amount from old
    union all
    select customer_fold, status, priority, order_date, date_trunc('month', order_date)::date, 1, coalesce(amount, 0) from kept
), rolled as (
    insert into rollup (dim, order_date, status, priority, n, amount)
    select case grouping(status, priority, order_date, month)
               when 1 then 'cube' when 7 then 'status' when 11 then 'priority' when 13 then 'day' when 14 then 'month' else 'all'
           end,
           case when grouping(month) = 0 then month else order_date end, status, priority, sum(n), sum(amount)
    from delta
    group by grouping sets ((status, priority, order_date), (status), (priority), (order_date), (month), ())
    having sum(n) <> 0 or sum(amount) <> 0
    on conflict (dim, day, status, priority) do update
    set n = rollup.n + excluded.n, amount = rollup.amount + excluded.amount
), counted as (
    insert into customers (customer_fold, n)
    select customer_fold, sum(n) from delta where customer_fold is not null
    group by customer_fold having sum(n) <> 0
    on conflict (customer_fold) do update set n = customers.n + excluded.n
)
select not exists (select from fence)
