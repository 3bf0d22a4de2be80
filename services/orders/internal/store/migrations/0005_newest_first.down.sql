create index if not exists orders_by_day on orders (day desc, record_id);
create index if not exists orders_by_customer on orders (customer_fold, day desc, record_id);
drop index if exists orders_newest;
drop index if exists orders_customer_newest;
