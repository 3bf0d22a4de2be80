-- Counts the rollups from the rows. Deleting instead of truncating lets readers go on.
set local enable_seqscan = on;
set local enable_hashjoin = on;
delete from orders.rollup;
insert into orders.rollup (dim, order_date, status, priority, n, amount)
select case grouping(status, priority, order_date, month)
           when 1 then 'cube' when 2 then 'month_cube' when 7 then 'status' when 11 then 'priority' when 13 then 'day' when 14 then 'month' else 'all'
       end,
       case when grouping(month) = 0 then month else order_date end, status, priority, count(*), coalesce(sum(amount), 0)
from (select status, priority, order_date, date_trunc('month', order_date)::date as month, amount from orders.orders) o
group by grouping sets ((status, priority, order_date), (status, priority, month), (status), (priority), (order_date), (month), ())
having count(*) > 0;
delete from orders.customers;
insert into orders.customers (customer_fold, n)
select customer_fold, count(*) from orders.orders where customer_fold is not null group by customer_fold;
