"""Taking a vehicle in: a legal ground, a crew, the yard with photos and belongings, release.

In: what staff and the crew's phone page record. Out: case states, custody of the vehicle, the domain
events case.in_yard and case.released.
Tables: recovery_ground, recovery_dispatch, yard, yard_intake, case_photo, case_belonging, case_release,
crew_link, crew_link_view. Process: none; the API calls it.
"""
