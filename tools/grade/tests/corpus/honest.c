/* graded 4: nothing special */
