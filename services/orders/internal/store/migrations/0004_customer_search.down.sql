do $$
declare
    trgm text;
begin
    select quote_ident(nspname) into trgm from pg_extension e join pg_namespace n on n.oid = e.extnamespace where extname = 'pg_trgm';
    if trgm is not null then
        execute 'create index if not exists customers_trigrams on customers using gin (customer_fold ' || trgm || '.gin_trgm_ops)';
    end if;
end $$;
drop index if exists customers_search;
