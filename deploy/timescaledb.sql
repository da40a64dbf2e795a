-- Run once, by the database image, when its volume is empty.
\set ON_ERROR_STOP on
\getenv password TELEGRAM_PASSWORD
create role telegram login password :'password';
grant pg_monitor to telegram;
create database telegram_gateway owner telegram;
\connect telegram_gateway
create extension if not exists timescaledb;
create extension if not exists pg_stat_statements;
