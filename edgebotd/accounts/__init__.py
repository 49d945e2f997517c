"""Logins at model providers: one owner for each, its tokens kept fresh, and how much of the account is used.

A login has one owner. What is owned by `edgebotd` lies in the vault, is refreshed here and handed out as access tokens;
what a gateway or another program owns is watched and reported, never refreshed. `docs/accounts.md` is for operators.
"""
