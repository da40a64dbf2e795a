-- What generations got with the third step. Done for those that exist, and for each new one.
create function telegram.add_counter_samples(n integer) returns void
language plpgsql set search_path = pg_catalog as $function$
declare
    g text := 'telegram_g' || n;
    -- the extension may have been installed into any schema
    ext text := (select s.nspname from pg_extension e join pg_namespace s on s.oid = e.extnamespace
                 where e.extname = 'timescaledb');
begin
    -- The sampled history of counters: one row for each message and interval, in which each counter is the last one
    -- told. Kept while counter_sampling has its row, and then only of events behind after_seq.
    execute format($ddl$
        create table %1$I.counter_sampling (
            interval_us bigint not null,
            after_seq   bigint not null
        )$ddl$, g);
    execute format($ddl$
        create table %1$I.counter_sample (
            peer_id       bigint not null,
            message_id    bigint not null,
            interval_at   timestamptz not null,
            sampled_at    timestamptz not null,
            seq           bigint not null,
            views         bigint,
            views_seq     bigint,
            forwards      bigint,
            forwards_seq  bigint,
            reactions_seq bigint,
            poll_seq      bigint,
            reactions     jsonb,
            poll          jsonb,
            primary key (peer_id, message_id, interval_at)
        )$ddl$, g);
    execute format('select %1$I.create_hypertable(%2$L::regclass, %1$I.by_range(%3$L, interval %4$L), '
                   'create_default_indexes => false)', ext, g || '.counter_sample', 'interval_at', '30 days');
    execute format($ddl$
        create view %1$I.counter_samples as
        select peer_id, message_id, interval_at, sampled_at, views, forwards, reactions, poll, seq
        from %1$I.counter_sample$ddl$, g);
end
$function$;

alter function telegram.create_generation(integer, interval) rename to create_generation_2;

-- Makes the tables and views of generation n: the first steps', and what was added since.
create function telegram.create_generation(n integer, chunk interval) returns void
language plpgsql set search_path = pg_catalog as $function$
begin
    perform telegram.create_generation_2(n, chunk);
    perform telegram.add_counter_samples(n);
end
$function$;

-- Points the public views at generation n. The one shown before stays as it is, for a way back.
create or replace function telegram.show_generation(n integer) returns void
language plpgsql set search_path = pg_catalog as $function$
declare
    g text := 'telegram_g' || n;
    name text;
begin
    if not exists (select from telegram.generations where generation = n) then
        raise exception 'there is no generation %', n using errcode = 'undefined_object';
    end if;
    update telegram.generations set shown = false where shown;
    update telegram.generations set shown = true where generation = n;
    foreach name in array array['messages', 'message_versions', 'channels', 'channel_names', 'gaps', 'albums',
                                'counter_samples'] loop
        execute format('create or replace view telegram.%1$I as select * from %2$I.%1$I', name, g);
    end loop;
end
$function$;

do $block$
declare
    known integer;
begin
    for known in select generation from telegram.generations loop
        perform telegram.add_counter_samples(known);
    end loop;
    for known in select generation from telegram.generations where shown loop
        perform telegram.show_generation(known);
    end loop;
end
$block$;
