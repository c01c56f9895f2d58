"""People, roles, passwords, tokens, sessions and sign-in links.

Tables: user_account, api_token, user_session, sign_in_link. Process: none.
"""
