-- Run once by an administrator: the role that the application's pods follow with. It may write nothing.
CREATE ROLE app_reader LOGIN;
