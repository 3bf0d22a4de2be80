-- Orders of one day are listed newest first.
create index if not exists orders_newest on orders (day desc, created_at desc, record_id);
create index if not exists orders_customer_newest on orders (customer_fold, day desc, created_at desc, record_id);
drop index if exists orders_by_day;
drop index if exists orders_by_customer;
